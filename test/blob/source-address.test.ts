import { describe, expect, test } from 'bun:test'
import fc from 'fast-check'
import { parseSourceAddress } from '../../src/blob/source-address.ts'
import { runs } from '../support/runs.ts'

describe('parseSourceAddress()', () => {
  test('reads every kind of address', () => {
    expect(parseSourceAddress('peers')).toEqual({ kind: 'peers', label: 'peers' })
    expect(parseSourceAddress('https://mirror.test/holo')).toMatchObject({
      kind: 'http',
      label: 'https://mirror.test/holo',
      url: new URL('https://mirror.test/holo/'),
    })
    expect(parseSourceAddress('rccremote+http://builder:4653')).toMatchObject({
      kind: 'rccremote',
      url: new URL('http://builder:4653/'),
    })
    expect(parseSourceAddress('s3://bucket/a/b/?endpoint=http://127.0.0.1:5000&region=eu-1')).toMatchObject({
      kind: 's3',
      bucket: 'bucket',
      prefix: 'a/b/',
      endpoint: new URL('http://127.0.0.1:5000'),
      region: 'eu-1',
    })
    expect(parseSourceAddress('s3://bucket')).toMatchObject({ prefix: '', endpoint: undefined, region: 'us-east-1' })
    expect(parseSourceAddress('file:///mnt/the%20stick/')).toMatchObject({ kind: 'file', path: '/mnt/the stick' })
  })

  test('says what is wrong with others, and takes no credentials', () => {
    const wrong: Readonly<Record<string, RegExp>> = {
      'https://robot:secret@mirror.test/': /credentials/,
      's3://key:secret@bucket/': /credentials/,
      's3://bucket/?endpoint=http://key:secret@127.0.0.1/': /credentials/,
      's3://bucket/?acl=public': /acl/,
      's3://bucket/?endpoint=ftp://x/': /endpoint/,
      's3://B/': /bucket/,
      'https://mirror.test/?token=x': /query/,
      'https://mirror.test/#x': /fragment/,
      'gopher://x/': /scheme/,
      'file://host/path': /three slashes/,
      'rccremote+ftp://x/': /scheme/,
      nonsense: /neither/,
      '': /neither/,
    }
    for (const [text, said] of Object.entries(wrong))
      expect([text, parseSourceAddress(text)]).toEqual([text, expect.stringMatching(said)])
  })

  test('never throws, and its label is the text', () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string(),
          fc.webUrl({ withQueryParameters: true }),
          fc.webUrl().map((url) => `s3${url.slice(4)}`),
        ),
        (text) => {
          const address = parseSourceAddress(text)
          if (typeof address !== 'string') expect(address.label).toBe(text)
        },
      ),
      { numRuns: runs(300) },
    )
  })
})
