package transittest

// What an operator of the server does with keys, without HTTP.

// CreateKey makes a key.
func (s *Server) CreateKey(name string) {
	s.set(func() { s.engine.keys[name] = &key{oldest: 1, versions: [][]byte{newVersion()}} })
}

// RotateKey gives a key, which must be there, a new version.
func (s *Server) RotateKey(name string) {
	s.set(func() { s.engine.keys[name].versions = append(s.engine.keys[name].versions, newVersion()) })
}

// KeepNewest lets only the newest version of a key, which must be there, decrypt.
func (s *Server) KeepNewest(name string) {
	s.set(func() { s.engine.keys[name].oldest = len(s.engine.keys[name].versions) })
}

// DeleteKey deletes a key.
func (s *Server) DeleteKey(name string) { s.set(func() { delete(s.engine.keys, name) }) }
