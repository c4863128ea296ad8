package admin

import (
	"context"
	"net/http"
)

var _ EncryptionKeyDirectory = (*Client)(nil)

// EncryptionKeys implements [EncryptionKeyDirectory], as the methods below do
// theirs.
func (c *Client) EncryptionKeys(ctx context.Context) (EncryptionKeyList, error) {
	return exchange[EncryptionKeyList](ctx, c, http.MethodGet, pathEncryptionKeys, empty{})
}

// EncryptionKey implements [EncryptionKeyDirectory].
func (c *Client) EncryptionKey(ctx context.Context, name string) (EncryptionKey, error) {
	return exchange[EncryptionKey](ctx, c, http.MethodGet, pathOf(pathEncryptionKey, name), empty{})
}

// CreateEncryptionKey implements [EncryptionKeyDirectory].
func (c *Client) CreateEncryptionKey(ctx context.Context, in NewEncryptionKey) (EncryptionKey, error) {
	return exchange[EncryptionKey](ctx, c, http.MethodPost, pathEncryptionKeys, in)
}

// RotateEncryptionKey implements [EncryptionKeyDirectory].
func (c *Client) RotateEncryptionKey(ctx context.Context, name string) (EncryptionKeyChange, error) {
	return exchange[EncryptionKeyChange](ctx, c, http.MethodPost, pathOf(pathEncryptionKeyRotate, name), empty{})
}

// SwitchEncryptionKey implements [EncryptionKeyDirectory].
func (c *Client) SwitchEncryptionKey(ctx context.Context, name, state string) (EncryptionKey, error) {
	return exchange[EncryptionKey](ctx, c, http.MethodPost, pathOf(pathEncryptionKeyState, name), keyState{state})
}

// DropEncryptionKeyVersions implements [EncryptionKeyDirectory].
func (c *Client) DropEncryptionKeyVersions(ctx context.Context, name string) (EncryptionKeyChange, error) {
	return exchange[EncryptionKeyChange](ctx, c, http.MethodPost, pathOf(pathEncryptionKeyDrop, name), empty{})
}

// DeleteEncryptionKey implements [EncryptionKeyDirectory].
func (c *Client) DeleteEncryptionKey(ctx context.Context, name string) (EncryptionKey, error) {
	return exchange[EncryptionKey](ctx, c, http.MethodDelete, pathOf(pathEncryptionKey, name), empty{})
}

// RotateMasterKey implements [EncryptionKeyDirectory].
func (c *Client) RotateMasterKey(ctx context.Context) (MasterKeyRotation, error) {
	return exchange[MasterKeyRotation](ctx, c, http.MethodPost, pathMasterKeyRotate, empty{})
}
