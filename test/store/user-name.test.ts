import { expect, test } from 'bun:test'
import * as fs from 'node:fs'
import { join } from 'node:path'
import { userName } from '../../src/store/user-name.ts'
import { TemporaryDirectory } from '../support/golden.ts'

test('userName() believes /etc/passwd before USER, and neither where both are silent', () => {
  using home = new TemporaryDirectory()
  const passwd = join(home.path, 'passwd')
  const uid = process.getuid?.() ?? 0
  fs.writeFileSync(
    passwd,
    `# comment\nother:x:${uid + 1}:0::/:/bin/sh\nrobot:x:${uid}:0::/:/bin/sh\nlater:x:${uid}::::\n`,
  )
  expect(userName({ USER: 'somebody' }, passwd)).toBe('robot')
  fs.writeFileSync(passwd, 'torn\n\n:x:\n')
  expect(userName({ USER: 'somebody' }, passwd)).toBe('somebody')
  expect(userName({}, join(home.path, 'none'))).toBe('anonymous')
})
