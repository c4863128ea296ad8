package fdbcluster

import (
	"os"
	"syscall"
)

// attributes let a process die with the thread that started it, and spare it the interrupts of a terminal.
func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

// apart lets a process outlive the thread that started it.
func apart() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

// onMainThread reports whether the caller runs on the thread that the program began with.
func onMainThread() bool { return syscall.Gettid() == os.Getpid() }
