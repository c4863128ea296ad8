package memory

import (
	"testing"

	"github.com/undercroft/undercroft/keys"
	"github.com/undercroft/undercroft/keys/keystest"
)

func TestConformance(t *testing.T) {
	keystest.Run(t, func(*testing.T) keystest.Store {
		p := New()
		named := func(f func(string)) func(*testing.T, string) { return func(_ *testing.T, name string) { f(name) } }
		return keystest.Store{
			Provider: p, Create: named(p.Create), Rotate: named(p.Rotate),
			Disable: named(p.Disable), Enable: named(p.Enable), Delete: named(p.Delete), Drop: named(p.Drop),
		}
	})
}

func TestNewMakesKeys(t *testing.T) {
	if err := New(keys.SSES3, "one").Check(t.Context(), "one"); err != nil {
		t.Error(err)
	}
}
