import { describe, expect, test } from 'bun:test'
import { checkAccess, refusalOf } from '../../src/door/access.ts'

const token = 'a-token-of-enough-characters'
const visitor = { host: 'localhost:4653', authorization: undefined, fetchSite: undefined }
const closed = { token: undefined, open: false }

describe('refusalOf()', () => {
  test.each(['localhost', 'localhost:4653', 'LOCALHOST', '127.0.0.1:4653', '127.1.2.3', '[::1]:4653', undefined])(
    'lets in who asks for %p on loopback',
    (host) => {
      expect(refusalOf({ ...visitor, host }, closed)).toBeUndefined()
    },
  )

  // A page of evil.example whose name leads to 127.0.0.1 by now.
  test.each(['evil.example', 'evil.example:4653', 'localhost.evil.example', '127.0.0.1.evil.example', '10.0.0.1', ''])(
    'turns away who asks for %p',
    (host) => {
      expect(refusalOf({ ...visitor, host }, closed)?.status).toBe(403)
    },
  )

  test.each(['cross-site', 'same-site'])('turns away a page that is %s', (fetchSite) => {
    expect(refusalOf({ ...visitor, fetchSite }, closed)?.status).toBe(403)
    expect(refusalOf({ ...visitor, fetchSite }, { ...closed, open: true })?.status).toBe(403)
  })

  test('takes the token with a scheme or without, and no other', () => {
    const guarded = { token, open: false }
    for (const authorization of [token, `Bearer ${token}`, `bearer  ${token}`])
      expect(refusalOf({ ...visitor, host: '10.0.0.1', authorization }, guarded)).toBeUndefined()
    for (const authorization of [undefined, '', 'Bearer', `${token}x`, token.slice(1), `Basic ${token}`, 'Bearer x'])
      expect(refusalOf({ ...visitor, authorization }, guarded)?.status).toBe(401)
    // Nor does `open` make it needless.
    expect(refusalOf(visitor, { token, open: true })?.status).toBe(401)
  })
})

describe('checkAccess()', () => {
  test.each(['localhost', '127.0.0.1', '::1'])('needs no token at %s', (address) => {
    checkAccess(address, closed)
  })

  test.each(['0.0.0.0', '::', '10.0.0.1'])('wants a token or the word for it at %s', (address) => {
    expect(() => checkAccess(address, closed)).toThrow('could be reached by everybody')
    checkAccess(address, { ...closed, open: true })
    checkAccess(address, { token, open: false })
  })

  test.each(['', 'short', 'with white space inside of it'])('refuses %p as a token', (weak) => {
    expect(() => checkAccess('localhost', { token: weak, open: false })).toThrow('is not a word of at least 22')
  })
})
