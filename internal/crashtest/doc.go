// Package crashtest kills writers and databases while they write, and looks what is there
// afterwards. It has tests only.
package crashtest
