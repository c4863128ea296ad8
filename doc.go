// Package undercroft holds the tests that keep the tree in shape: package
// docs, import direction, sizes and names. It has no code, and nothing imports
// it. The server is cmd/undercroft; ARCHITECTURE.md is the map.
package undercroft
