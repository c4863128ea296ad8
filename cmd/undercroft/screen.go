package main

import (
	"io"
	"os"
	"strings"
	"unicode/utf8"
)

// screen shows one line of progress: on a terminal it is rewritten, elsewhere
// there is a line for each change.
type screen struct {
	to       io.Writer
	rewrites bool
	last     string
}

// isTerminal says whether a person looks at a file.
func isTerminal(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// show shows a line in place of the last one.
func (s *screen) show(text string) error {
	if text == s.last {
		return nil
	}
	old := utf8.RuneCountInString(s.last)
	s.last = text
	if !s.rewrites {
		return write(s.to, text+"\n")
	}
	blank := max(old-utf8.RuneCountInString(text), 0)
	return write(s.to, "\r"+text+strings.Repeat(" ", blank))
}

// end leaves the last line where it is.
func (s *screen) end() error {
	if !s.rewrites || s.last == "" {
		return nil
	}
	s.last = ""
	return write(s.to, "\n")
}
