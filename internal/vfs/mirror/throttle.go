package mirror

import "time"

// Throttle bounds the bytes in a second that are copied to a directory that
// becomes a member, from now on; 0 is no bound. The last bytes of files that are being
// written are copied at once.
func (s *Set) Throttle(bytesPerSecond int64) { s.rate.Store(bytesPerSecond) }

// counted counts what is copied.
func (s *Set) counted(bytes int64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.resync.Bytes += bytes
	return nil
}

// paced waits until so many bytes may be copied to a node, and counts them.
func (s *Set) paced(n *node, bytes int64) error {
	if err := s.alive(n); err != nil {
		return err
	}
	_ = s.counted(bytes)
	rate := s.rate.Load()
	if rate <= 0 {
		return nil
	}
	timer := time.NewTimer(time.Duration(float64(bytes) / float64(rate) * float64(time.Second)))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-s.stop:
		return errAborted
	}
}
