package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/undercroft/undercroft/admin"
)

func diskVerbs() []verb {
	one := []string{"DISK"}
	return []verb{
		{"disk list", nil, nil, listDisks},
		{"disk add", []string{"PATH"}, nil, addDisk},
		{"disk drain", one, []string{"watch", "cancel"}, drainDisk},
		{"disk remove", one, []string{"lost"}, removeDisk},
		{"drain", one, []string{"watch", "cancel"}, drainDisk},
	}
}

func listDisks(ctx context.Context, c *admin.Client, in *verbInput) error {
	all, err := c.Disks(ctx)
	if err != nil {
		return err
	}
	return in.show(admin.DiskList{Disks: all}, func(w io.Writer) {
		line(w, "DISK", "PATH", "STATE", "SIZE", "FREE", "SHARDS", "METADATA", "")
		for i := range all {
			d := &all[i]
			line(w, d.ID, d.Path, d.State, bytesText(float64(d.Total)), bytesText(float64(d.Free)), fmt.Sprint(d.Shards), mirrorText(d), remark(d))
		}
	})
}

func mirrorText(d *admin.Disk) string {
	if d.Mirror {
		return "mirror"
	}
	return "-"
}

// remark is what there is to say of a disk.
func remark(d *admin.Disk) string {
	switch {
	case d.Problem != "":
		return d.Problem
	case d.Drained:
		return "drained: it may be removed"
	case d.Unlisted:
		return "the next start needs it in --data"
	}
	return ""
}

func addDisk(ctx context.Context, c *admin.Client, in *verbInput) error {
	out, err := c.AddDisk(ctx, in.argument(0))
	return in.diskChange(out, err)
}

func removeDisk(ctx context.Context, c *admin.Client, in *verbInput) error {
	_, lost := in.given["lost"]
	out, err := c.RemoveDisk(ctx, admin.RemoveDisk{Disk: in.argument(0), Lost: lost})
	return in.diskChange(out, err)
}

func (in *verbInput) diskChange(out admin.DiskChange, err error) error {
	if err != nil {
		return err
	}
	return in.show(out, func(w io.Writer) {
		line(w, "disk", out.ID)
		line(w, "path", out.Path)
		line(w, "state", out.State)
		for _, note := range out.Notes {
			line(w, "note", note)
		}
	})
}

func drainDisk(ctx context.Context, c *admin.Client, in *verbInput) error {
	_, cancel := in.given["cancel"]
	_, follow := in.given["watch"]
	if cancel && follow {
		return fmt.Errorf("%w: --cancel contradicts --watch", errUsage)
	}
	out, err := c.DrainDisk(ctx, admin.DrainDisk{Disk: in.argument(0), Cancel: cancel})
	if err != nil || !follow {
		return in.diskChange(out, err)
	}
	for _, note := range out.Notes {
		if in.asJSON {
			break
		}
		if err := write(in.stdout, "note: "+note+"\n"); err != nil {
			return err
		}
	}
	return (&drainWatch{client: c, in: in, id: out.ID}).run(ctx)
}

// errNotDrained ends a watch that is no success.
var errNotDrained = errors.New("the disk is not drained")

// drainWatch follows a disk until nothing is left on it.
type drainWatch struct {
	client *admin.Client
	in     *verbInput
	id     string
	last   string // what was printed, as JSON
}

func (w *drainWatch) run(ctx context.Context) error {
	tick := time.NewTicker(watchTick)
	defer tick.Stop()
	for {
		ended, err := w.look(ctx)
		if ctx.Err() != nil {
			err, ended = errUnwatched, true
		}
		if ended || err != nil {
			return errors.Join(w.in.screen.end(), err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
		}
	}
}

// look shows the disk and decides whether there is more to see.
func (w *drainWatch) look(ctx context.Context) (ended bool, err error) {
	all, err := w.client.Disks(ctx)
	if err != nil {
		return true, err
	}
	for i := range all {
		d := &all[i]
		if d.ID != w.id {
			continue
		}
		if err := w.show(ctx, d); err != nil {
			return true, err
		}
		switch {
		case d.Drained:
			return true, nil
		case d.State == "active":
			return true, fmt.Errorf("%w: that was cancelled", errNotDrained)
		case d.State != "draining":
			return true, fmt.Errorf("%w: it is %s", errNotDrained, d.State)
		}
		return false, nil
	}
	return true, nil // it was removed, which only a drained one is
}

func (w *drainWatch) show(ctx context.Context, d *admin.Disk) error {
	if w.in.asJSON {
		body, err := json.Marshal(d)
		if err != nil {
			return fmt.Errorf("encoding the answer: %w", err)
		}
		if string(body) == w.last {
			return nil
		}
		w.last = string(body)
		return write(w.in.stdout, w.last+"\n")
	}
	text := fmt.Sprintf("%s: %d shards left", d.Path, d.Shards)
	if d.Mirror {
		text += ", the metadata is being given to another directory"
	}
	if d.Drained {
		text = d.Path + ": drained"
	} else if j, err := w.client.Job(ctx, "drain"); err == nil {
		if more := progress(&j); more != "" {
			text += "; " + more
		}
		if j.State == "paused" {
			text += "; the job drain is paused"
		}
	}
	return w.in.screen.show(text)
}
