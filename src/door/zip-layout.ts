/**
 * Where every byte of a zip stands, before one of them is read: so its length is known at the first byte, and any range
 * of it can be made alone.
 *
 * Members are stored as they are. Their checksums are not known ahead: each stands in a data descriptor behind its
 * member, and again in the central directory, which is what Go's reader, and so rcc, compares with. Sizes stand in front
 * of the members all the same, beyond what the format asks for, so that a reader can take them from a stream. Format:
 * PKWARE APPNOTE.TXT 6.3.10, sections 4.3 and 4.5.3 (zip64). Pure; knows nothing of blobs.
 */

/** One file of a zip. */
export interface ZipMember {
  /** Relative, with `/`, ASCII. */
  readonly name: string
  readonly sizeBytes: number
}

const LOCAL_SIGNATURE = 0x04034b50
const DESCRIPTOR_SIGNATURE = 0x08074b50
const DIRECTORY_SIGNATURE = 0x02014b50
const END_SIGNATURE = 0x06054b50
const END64_SIGNATURE = 0x06064b50
const END64_LOCATOR_SIGNATURE = 0x07064b50
const LOCAL_BYTES = 30
const DIRECTORY_BYTES = 46
const END_BYTES = 22
const END64_BYTES = 56
const END64_LOCATOR_BYTES = 20
const VERSION = 20
const VERSION_ZIP64 = 45
/** The checksum follows in a data descriptor. */
const FLAGS = 8
const ZIP64_FIELD = 1
const U16_MAX = 0xffff
const U32_MAX = 0xffffffff

export class ZipLayout {
  /** Of the whole file. */
  readonly sizeBytes: number
  /** Where the central directory begins: the end of the last member. */
  readonly directoryAt: number
  readonly #offsets: Float64Array
  readonly #directoryBytes: number

  /** @param members in the order of the file; of two with one name readers take the last */
  constructor(readonly members: readonly ZipMember[]) {
    this.#offsets = new Float64Array(members.length)
    let at = 0
    let directoryBytes = 0
    for (const [index, member] of members.entries()) {
      this.#offsets[index] = at
      directoryBytes += DIRECTORY_BYTES + member.name.length + wideFields(member, at).length
      at += localBytes(member) + member.sizeBytes + descriptorBytes(member)
    }
    this.directoryAt = at
    this.#directoryBytes = directoryBytes
    this.sizeBytes = at + directoryBytes + this.end().byteLength
  }

  /** Offset of a member's local header; for the number behind the last, that of the central directory. */
  offsetOf(index: number): number {
    return this.#offsets[index] ?? this.directoryAt
  }

  /** Number of the member that `offset` lies in, or of the next where it lies behind all. */
  memberAt(offset: number): number {
    let low = 0
    let high = this.members.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if (this.offsetOf(middle + 1) <= offset) low = middle + 1
      else high = middle
    }
    return low
  }

  /** What stands in front of a member's bytes. */
  localHeader(index: number): Uint8Array {
    const member = this.#member(index)
    const wide = isWide(member)
    const record = new RecordWriter(localBytes(member))
    record.u32(LOCAL_SIGNATURE)
    record.u16(wide ? VERSION_ZIP64 : VERSION, FLAGS, 0)
    // No time, as in rcc's zips, and no checksum yet.
    record.u32(0, 0)
    record.u32(wide ? U32_MAX : member.sizeBytes, wide ? U32_MAX : member.sizeBytes)
    record.u16(member.name.length, wide ? 20 : 0)
    record.text(member.name)
    if (wide) {
      record.u16(ZIP64_FIELD, 16)
      record.u64(member.sizeBytes, member.sizeBytes)
    }
    return record.bytes
  }

  /** What stands behind a member's bytes. @param crc32 of them */
  descriptor(index: number, crc32: number): Uint8Array {
    const member = this.#member(index)
    const record = new RecordWriter(descriptorBytes(member))
    record.u32(DESCRIPTOR_SIGNATURE, crc32)
    if (isWide(member)) record.u64(member.sizeBytes, member.sizeBytes)
    else record.u32(member.sizeBytes, member.sizeBytes)
    return record.bytes
  }

  /** A member's record in the central directory. */
  directoryRecord(index: number, crc32: number): Uint8Array {
    const member = this.#member(index)
    const offset = this.offsetOf(index)
    const fields = wideFields(member, offset)
    const record = new RecordWriter(DIRECTORY_BYTES + member.name.length + fields.length)
    const version = fields.length > 0 ? VERSION_ZIP64 : VERSION
    record.u32(DIRECTORY_SIGNATURE)
    record.u16(version, version, FLAGS, 0)
    record.u32(0, crc32)
    const size = isWide(member) ? U32_MAX : member.sizeBytes
    record.u32(size, size)
    record.u16(member.name.length, fields.length, 0, 0, 0)
    record.u32(0, Math.min(offset, U32_MAX))
    record.text(member.name)
    if (fields.length > 0) {
      record.u16(ZIP64_FIELD, fields.length - 4)
      record.u64(...fields.values)
    }
    return record.bytes
  }

  /** What ends the file. */
  end(): Uint8Array {
    const count = this.members.length
    const wide = count >= U16_MAX || this.directoryAt >= U32_MAX || this.#directoryBytes >= U32_MAX
    const record = new RecordWriter(END_BYTES + (wide ? END64_BYTES + END64_LOCATOR_BYTES : 0))
    if (wide) {
      record.u32(END64_SIGNATURE)
      record.u64(END64_BYTES - 12)
      record.u16(VERSION_ZIP64, VERSION_ZIP64)
      record.u32(0, 0)
      record.u64(count, count, this.#directoryBytes, this.directoryAt)
      record.u32(END64_LOCATOR_SIGNATURE, 0)
      record.u64(this.directoryAt + this.#directoryBytes)
      record.u32(1)
    }
    record.u32(END_SIGNATURE)
    record.u16(0, 0, Math.min(count, U16_MAX), Math.min(count, U16_MAX))
    record.u32(Math.min(this.#directoryBytes, U32_MAX), Math.min(this.directoryAt, U32_MAX))
    record.u16(0)
    return record.bytes
  }

  #member(index: number): ZipMember {
    const member = this.members[index]
    if (member === undefined) throw new RangeError(`the zip has no member ${index}`)
    return member
  }
}

function isWide({ sizeBytes }: ZipMember): boolean {
  return sizeBytes >= U32_MAX
}

function localBytes(member: ZipMember): number {
  return LOCAL_BYTES + member.name.length + (isWide(member) ? 20 : 0)
}

function descriptorBytes(member: ZipMember): number {
  return isWide(member) ? 24 : 16
}

/** The values of a directory record that do not fit into 32 bits, in the order of the format, and the field's length. */
function wideFields(member: ZipMember, offset: number): { length: number; values: number[] } {
  const values = [
    ...(isWide(member) ? [member.sizeBytes, member.sizeBytes] : []),
    ...(offset >= U32_MAX ? [offset] : []),
  ]
  return { length: values.length === 0 ? 0 : 4 + values.length * 8, values }
}

/** Little-endian values one after another, into a record of known length. */
class RecordWriter {
  readonly bytes: Buffer
  #at = 0

  constructor(length: number) {
    this.bytes = Buffer.allocUnsafe(length)
  }

  u16(...values: number[]): void {
    for (const value of values) this.#at = this.bytes.writeUInt16LE(value, this.#at)
  }

  u32(...values: number[]): void {
    for (const value of values) this.#at = this.bytes.writeUInt32LE(value, this.#at)
  }

  u64(...values: number[]): void {
    for (const value of values) this.#at = this.bytes.writeBigUInt64LE(BigInt(value), this.#at)
  }

  text(text: string): void {
    this.#at += this.bytes.write(text, this.#at, 'latin1')
  }
}
