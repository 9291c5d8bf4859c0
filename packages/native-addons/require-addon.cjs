// Stands in for `require-addon`, whose look-up by file path finds nothing inside a compiled binary.
//
// Every addon of the dependency tree is named here in a literal require(), under literal tests of platform and
// architecture, so that `bun build --compile` embeds just the target's file. Knows sodium-native only: udx-native is
// replaced by packages/udx, and the rest of the tree is pure JavaScript on Bun.

function sodium() {
  if (process.platform === 'linux') {
    if (process.arch === 'x64') return require('sodium-native/prebuilds/linux-x64/sodium-native.node')
    if (process.arch === 'arm64') return require('sodium-native/prebuilds/linux-arm64/sodium-native.node')
  }
  if (process.platform === 'darwin') {
    if (process.arch === 'arm64') return require('sodium-native/prebuilds/darwin-arm64/sodium-native.node')
    if (process.arch === 'x64') return require('sodium-native/prebuilds/darwin-x64/sodium-native.node')
  }
  if (process.platform === 'win32') {
    if (process.arch === 'x64') return require('sodium-native/prebuilds/win32-x64/sodium-native.node')
    if (process.arch === 'arm64') return require('sodium-native/prebuilds/win32-arm64/sodium-native.node')
  }
  throw new Error(`sodium-native has no addon for ${process.platform}-${process.arch}`)
}

/**
 * Return the native addon of the package that asks.
 *
 * @param {string} specifier always '.', the caller's own package
 * @param {string} parent file name of the caller
 * @throws {Error} for any package but sodium-native, and on a platform without a prebuilt addon
 */
module.exports = function requireAddon(specifier, parent) {
  if (specifier === '.' && /sodium-native/.test(parent)) return sodium()
  throw new Error(`no native addon is embedded for ${parent}`)
}
