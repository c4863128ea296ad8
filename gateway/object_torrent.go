package gateway

import (
	"github.com/undercroft/undercroft/s3"
)

// getObjectTorrent answers GetObjectTorrent: no object has a torrent, as at AWS
// since it gave them up.
func (g *Gateway) getObjectTorrent(x *exchange) error {
	in, err := x.readInput()
	if err != nil {
		return err
	}
	in.Keyless = true
	if _, err := g.o.Objects.HeadObject(x.r.Context(), in); err != nil {
		return err
	}
	return s3.NewError(s3.NoSuchKey).WithMessage("The object has no torrent.").With("Key", string(x.key))
}
