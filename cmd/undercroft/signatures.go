package main

import (
	"time"

	"github.com/undercroft/undercroft/internal/config"
	"github.com/undercroft/undercroft/sigv2"
	"github.com/undercroft/undercroft/sigv4"
)

// legacySignatures verifies Signature Version 2 where the operator allows it.
func legacySignatures(cfg config.Config, now func() time.Time) sigv4.Legacy {
	if !cfg.AllowSigV2 {
		return nil
	}
	return &sigv2.Verifier{Domains: cfg.Domains, Now: now}
}
