// Package sim is the simulation: a whole store in one process, on disks that
// lose power, vanish, return, rot, fill and fail, with commits that end
// unknown, driven by random operations from a seed. After every step what the
// store shows is held against a model; at the end everything is repaired, any
// m disks are lost once more, and everything is deleted and must be gone.
//
// It promises that a seed makes the same plan each time; goroutines of one
// batch may still meet in another order. It is all in tests: docs/simulation.md
// says how to run it and how to read a failure. Nothing imports it.
package sim
