/**
 * The victim of the crash test: restores one catalog of an unpacked small library and says when it starts to place.
 *
 * Arguments: home of the library, base to restore to, catalog, space name.
 */
import { parseCatalogName } from '../../src/catalog/names.ts'
import { Library } from '../../src/store/library.ts'
import { rebased, rootsIn } from '../support/golden.ts'
import { restoreIn } from './restore-in.ts'

const [home = '', base = '', catalog = '', spaceName = ''] = process.argv.slice(2)
const name = parseCatalogName(catalog)
const library = new Library(rootsIn(home))
const found = name === undefined ? undefined : library.catalog(name)
if (found === undefined) throw new Error(`no catalog ${catalog}`)
process.stdout.write('ready\n')
await restoreIn(rebased(found.catalog, base), spaceName, library)
