// What require('udx-native') gives in place of the native package: the class itself.
//
// A file of its own, because `bun build` (unlike `bun run`) does not take an export named 'module.exports' for that.
module.exports = require('./src/udx.ts').UDX
