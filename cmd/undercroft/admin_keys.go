package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/undercroft/undercroft/admin"
)

func encryptionKeyVerbs() []verb {
	one := []string{"KEY"}
	return []verb{
		{"keys list", nil, nil, listEncryptionKeys},
		{"keys show", one, nil, showKey},
		{"keys create", one, []string{"description"}, createEncryptionKey},
		{"keys rotate --master", nil, nil, rotateMasterKey},
		{"keys rotate", one, []string{"watch"}, rotateEncryptionKey},
		{"keys disable", one, nil, switchEncryptionKey(admin.KeyDisabled)},
		{"keys enable", one, nil, switchEncryptionKey(admin.KeyEnabled)},
		{"keys delete", one, []string{"yes"}, deleteEncryptionKey},
		{"keys drop", one, []string{"watch"}, dropKeyVersions},
		{"keys rewrap", nil, []string{"watch"}, rewrapKeys},
	}
}

func listEncryptionKeys(ctx context.Context, c *admin.Client, in *verbInput) error {
	all, err := c.EncryptionKeys(ctx)
	if err != nil {
		return err
	}
	return in.show(all, func(w io.Writer) {
		line(w, "KEY", "STATE", "CREATED", "VERSIONS", "DESCRIPTION")
		for i := range all.Keys {
			k := &all.Keys[i]
			line(w, k.Name, k.State, k.Created.Format(time.RFC3339), versionsText(k), k.Description)
		}
		if all.Provider != "local" {
			line(w, "The keys of SSE-KMS are kept by "+all.Provider+", and administered there.")
		}
	})
}

// versionsText is the versions of a key in a few words.
func versionsText(k *admin.EncryptionKey) string {
	if len(k.Versions) == 0 {
		return "-"
	}
	ending := 0
	for _, v := range k.Versions {
		if v.Ending {
			ending++
		}
	}
	text := fmt.Sprintf("%d, newest %d", len(k.Versions), k.Versions[len(k.Versions)-1].Number)
	if ending > 0 {
		text += fmt.Sprintf(", %d ending", ending)
	}
	return text
}

func showKey(ctx context.Context, c *admin.Client, in *verbInput) error {
	k, err := c.EncryptionKey(ctx, in.argument(0))
	return in.encryptionKey(k, err)
}

// encryptionKey shows a key.
func (in *verbInput) encryptionKey(k admin.EncryptionKey, err error) error {
	if err != nil {
		return err
	}
	return in.show(k, func(w io.Writer) { writeEncryptionKey(w, &k) })
}

func writeEncryptionKey(w io.Writer, k *admin.EncryptionKey) {
	line(w, "key", k.Name)
	line(w, "state", k.State)
	if k.Description != "" {
		line(w, "description", k.Description)
	}
	for _, v := range k.Versions {
		text := "of " + v.Created.Format(time.RFC3339) + ", sealed under master key " + v.MasterKey
		if v.Ending {
			text += ", dropped once nothing is sealed under it"
		}
		line(w, fmt.Sprintf("version %d", v.Number), text)
	}
	if k.Use != nil {
		line(w, "in use by", useText(k.Use))
	}
}

func useText(u *admin.EncryptionKeyUse) string {
	if u.Partial {
		return fmt.Sprintf("at least %d object versions and uploads", u.Objects)
	}
	return fmt.Sprintf("%d object versions and uploads", u.Objects)
}

func createEncryptionKey(ctx context.Context, c *admin.Client, in *verbInput) error {
	k, err := c.CreateEncryptionKey(ctx, admin.NewEncryptionKey{Name: in.argument(0), Description: in.given["description"]})
	return in.encryptionKey(k, err)
}

func rotateEncryptionKey(ctx context.Context, c *admin.Client, in *verbInput) error {
	out, err := c.RotateEncryptionKey(ctx, in.argument(0))
	return in.keyChange(ctx, c, out, err)
}

func dropKeyVersions(ctx context.Context, c *admin.Client, in *verbInput) error {
	out, err := c.DropEncryptionKeyVersions(ctx, in.argument(0))
	return in.keyChange(ctx, c, out, err)
}

// keyChange shows a key that was changed, and follows the job that was started.
func (in *verbInput) keyChange(ctx context.Context, c *admin.Client, out admin.EncryptionKeyChange, err error) error {
	if err != nil {
		return err
	}
	if _, follow := in.given["watch"]; follow {
		return (&watch{client: c, in: in, name: out.Job, wish: out.Wish}).run(ctx)
	}
	return in.show(out, func(w io.Writer) {
		writeEncryptionKey(w, &out.EncryptionKey)
		line(w, "job", out.Job+" moves what is sealed to the newest version; `undercroft admin keys rewrap --watch` shows how far it is")
	})
}

func rewrapKeys(ctx context.Context, c *admin.Client, in *verbInput) error {
	wish, err := c.RunJob(ctx, rewrapJob)
	if err != nil {
		return err
	}
	if _, follow := in.given["watch"]; follow {
		return (&watch{client: c, in: in, name: rewrapJob, wish: wish}).run(ctx)
	}
	return in.show(admin.JobWish{Job: rewrapJob, Wish: wish}, func(w io.Writer) { line(w, "job "+rewrapJob+" is asked to run; --watch shows how far it is") })
}

func switchEncryptionKey(state string) func(context.Context, *admin.Client, *verbInput) error {
	return func(ctx context.Context, c *admin.Client, in *verbInput) error {
		k, err := c.SwitchEncryptionKey(ctx, in.argument(0), state)
		return in.encryptionKey(k, err)
	}
}

// errUnconfirmed ends a deletion that nobody confirmed.
var errUnconfirmed = errors.New("nothing is deleted: give --yes")

func deleteEncryptionKey(ctx context.Context, c *admin.Client, in *verbInput) error {
	name := in.argument(0)
	if _, yes := in.given["yes"]; !yes {
		k, err := c.EncryptionKey(ctx, name)
		if err != nil {
			return err
		}
		use := ""
		if k.Use != nil {
			use = useText(k.Use)
		}
		return fmt.Errorf("%w: the key %s is in use by %s, which nobody can read any more once it is deleted (disable it to see who misses it)",
			errUnconfirmed, name, use)
	}
	k, err := c.DeleteEncryptionKey(ctx, name)
	return in.encryptionKey(k, err)
}

func rotateMasterKey(ctx context.Context, c *admin.Client, in *verbInput) error {
	out, err := c.RotateMasterKey(ctx)
	if err != nil {
		return err
	}
	return in.show(out, func(w io.Writer) {
		line(w, "master key", out.MasterKey)
		line(w, "ended", strings.Join(out.Ended, " "))
		line(w, "sealed anew", fmt.Sprintf("%d access keys, %d encryption keys", out.AccessKeys, out.EncryptionKeys))
		line(w, "", "previous-master-key-file is not needed any more. Backups of the metadata made before still need the old master key.")
	})
}
