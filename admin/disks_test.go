package admin_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/undercroft/undercroft/admin"
)

// shelf is disks that refuse one path.
type shelf struct{ asked []string }

func (s *shelf) Disks(context.Context) ([]admin.Disk, error) {
	return []admin.Disk{{ID: "1", Path: "/d1", State: "active", Shards: 3}}, nil
}

func (s *shelf) change(what, disk string) (admin.DiskChange, error) {
	s.asked = append(s.asked, what+" "+disk)
	if disk == "/full" {
		return admin.DiskChange{}, fmt.Errorf("%w: it is not\nempty", admin.ErrDisk)
	}
	return admin.DiskChange{ID: "1", Path: disk, State: what, Notes: []string{"a note"}}, nil
}

func (s *shelf) AddDisk(_ context.Context, path string) (admin.DiskChange, error) {
	return s.change("add", path)
}

func (s *shelf) DrainDisk(_ context.Context, ask admin.DrainDisk) (admin.DiskChange, error) {
	return s.change(fmt.Sprint("drain ", ask.Cancel), ask.Disk)
}

func (s *shelf) RemoveDisk(_ context.Context, ask admin.RemoveDisk) (admin.DiskChange, error) {
	return s.change(fmt.Sprint("remove ", ask.Lost), ask.Disk)
}

// TestDisks asks for disks and changes of them with and without the token.
func TestDisks(t *testing.T) {
	s := &shelf{}
	server := httptest.NewServer(admin.NewHandler(admin.Options{DiskDirectory: s, Tokens: []string{"token"}}))
	defer server.Close()
	for _, r := range [][2]string{{"GET", "/-/disks"}, {"POST", "/-/disks"}, {"POST", "/-/disks/drain"}, {"POST", "/-/disks/remove"}} {
		request, err := http.NewRequestWithContext(t.Context(), r[0], server.URL+r[1], http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		response, err := server.Client().Do(request)
		if err != nil {
			t.Fatal(err)
		}
		if err := response.Body.Close(); err != nil || response.StatusCode != http.StatusUnauthorized {
			t.Errorf("%v without a token: %s, %v", r, response.Status, err)
		}
	}
	if len(s.asked) > 0 {
		t.Fatalf("without a token: %q", s.asked)
	}
	c, err := admin.NewClient(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	c = c.WithToken("token")
	if list, err := c.Disks(t.Context()); err != nil || len(list) != 1 || list[0].Shards != 3 {
		t.Errorf("%+v, %v", list, err)
	}
	for want, ask := range map[string]func() (admin.DiskChange, error){
		"add": func() (admin.DiskChange, error) { return c.AddDisk(t.Context(), "/d 2") },
		"drain true": func() (admin.DiskChange, error) {
			return c.DrainDisk(t.Context(), admin.DrainDisk{Disk: "/d 2", Cancel: true})
		},
		"remove false": func() (admin.DiskChange, error) { return c.RemoveDisk(t.Context(), admin.RemoveDisk{Disk: "/d 2"}) },
	} {
		if out, err := ask(); err != nil || out.State != want || out.Path != "/d 2" || len(out.Notes) != 1 {
			t.Errorf("%s: %+v, %v", want, out, err)
		}
	}
	if _, err := c.AddDisk(t.Context(), "/full"); err == nil || !strings.Contains(err.Error(), "it is not empty") || strings.Contains(err.Error(), "\n") {
		t.Errorf("refused: %v", err)
	}
}
