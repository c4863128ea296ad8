package transittest

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"strconv"
	"strings"
)

// engine is a transit engine. Its caller locks.
type engine struct{ keys map[string]*key }

type key struct {
	derived   bool
	deletable bool
	oldest    int // that decrypts
	versions  [][]byte
}

func newEngine() engine { return engine{keys: make(map[string]*key)} }

func newVersion() []byte {
	b := make([]byte, 32)
	_, _ = rand.Read(b) // never fails
	return b
}

// text is a field of a request.
func text(body map[string]any, field string) string {
	s, _ := body[field].(string)
	return s
}

func (e *engine) serve(w http.ResponseWriter, method, path string, body map[string]any) {
	words := strings.Split(path, "/")
	switch {
	case words[0] == "keys" && len(words) == 2:
		e.manage(w, method, words[1], body)
	case words[0] == "keys" && len(words) == 3 && method == http.MethodPost:
		e.change(w, words[1], words[2], body)
	case method != http.MethodPost || len(words) < 2:
		refuse(w, http.StatusNotFound)
	default:
		e.use(w, words, body)
	}
}

// manage creates, shows and deletes keys.
func (e *engine) manage(w http.ResponseWriter, method, name string, body map[string]any) {
	k := e.keys[name]
	switch {
	case method == http.MethodPost:
		if k == nil {
			derived, _ := body["derived"].(bool)
			e.keys[name] = &key{derived: derived, oldest: 1, versions: [][]byte{newVersion()}}
		}
		w.WriteHeader(http.StatusNoContent)
	case k == nil && method == http.MethodGet:
		refuse(w, http.StatusNotFound)
	case k == nil:
		refuse(w, http.StatusBadRequest, "could not delete key; not found")
	case method == http.MethodGet:
		answer(w, http.StatusOK, map[string]any{"data": map[string]any{
			"name": name, "type": "aes256-gcm96", "derived": k.derived, "latest_version": len(k.versions), "min_decryption_version": k.oldest,
		}})
	case method == http.MethodDelete && !k.deletable:
		refuse(w, http.StatusBadRequest, "error deleting policy "+name+": deletion is not allowed for this key")
	case method == http.MethodDelete:
		delete(e.keys, name)
		w.WriteHeader(http.StatusNoContent)
	default:
		refuse(w, http.StatusMethodNotAllowed)
	}
}

// change rotates and configures keys.
func (e *engine) change(w http.ResponseWriter, name, what string, body map[string]any) {
	k := e.keys[name]
	switch {
	case k == nil:
		refuse(w, http.StatusBadRequest, "no existing key named "+name+" could be found")
	case what == "rotate":
		k.versions = append(k.versions, newVersion())
		w.WriteHeader(http.StatusNoContent)
	case what == "config":
		if allowed, ok := body["deletion_allowed"].(bool); ok {
			k.deletable = allowed
		}
		if oldest, ok := body["min_decryption_version"].(float64); ok {
			k.oldest = int(oldest)
		}
		w.WriteHeader(http.StatusNoContent)
	default:
		refuse(w, http.StatusNotFound)
	}
}

// use encrypts and decrypts.
func (e *engine) use(w http.ResponseWriter, words []string, body map[string]any) {
	k := e.keys[words[len(words)-1]]
	context, err := base64.StdEncoding.DecodeString(text(body, "context"))
	var data map[string]any
	switch {
	case err != nil:
		err = fmt.Errorf("failed to base64-decode context")
	case k == nil && words[0] == "encrypt":
		// As the real one: a token that may, makes the key.
		k = &key{oldest: 1, versions: [][]byte{newVersion()}}
		e.keys[words[1]] = k
		data, err = k.encrypt(text(body, "plaintext"), context)
	case k == nil:
		err = fmt.Errorf("encryption key not found")
	case words[0] == "datakey" && len(words) == 3 && words[1] == "plaintext":
		plain := base64.StdEncoding.EncodeToString(newVersion())
		if data, err = k.encrypt(plain, context); err == nil {
			data["plaintext"] = plain
		}
	case words[0] == "encrypt":
		data, err = k.encrypt(text(body, "plaintext"), context)
	case words[0] == "decrypt":
		var plain string
		plain, err = k.decrypt(text(body, "ciphertext"), context)
		data = map[string]any{"plaintext": plain}
	case words[0] == "rewrap":
		var plain string
		if plain, err = k.decrypt(text(body, "ciphertext"), context); err == nil {
			data, err = k.encrypt(plain, context)
		}
	default:
		refuse(w, http.StatusNotFound)
		return
	}
	if err != nil {
		refuse(w, http.StatusBadRequest, err.Error())
		return
	}
	answer(w, http.StatusOK, map[string]any{"data": data})
}

func (k *key) aead(version int, context []byte) (cipher.AEAD, error) {
	raw := k.versions[version-1]
	if k.derived {
		if len(context) == 0 {
			return nil, fmt.Errorf("missing 'context' for key derivation; the key was created using a derived key, which means additional, per-request information must be included in order to perform operations with the key")
		}
		var err error
		if raw, err = hkdf.Key(sha256.New, raw, nil, string(context), 32); err != nil {
			return nil, err
		}
	}
	block, err := aes.NewCipher(raw)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(block)
}

func (k *key) encrypt(plain string, context []byte) (map[string]any, error) {
	newest := len(k.versions)
	raw, err := base64.StdEncoding.DecodeString(plain)
	if err != nil {
		return nil, fmt.Errorf("failed to base64-decode plaintext")
	}
	aead, err := k.aead(newest, context)
	if err != nil {
		return nil, err
	}
	sealed := base64.StdEncoding.EncodeToString(aead.Seal(nil, nil, raw, nil))
	return map[string]any{"ciphertext": fmt.Sprintf("vault:v%d:%s", newest, sealed), "key_version": newest}, nil
}

func (k *key) decrypt(ciphertext string, context []byte) (string, error) {
	if ciphertext == "" {
		return "", fmt.Errorf("missing ciphertext to decrypt")
	}
	rest, ok := strings.CutPrefix(ciphertext, "vault:v")
	if !ok {
		return "", fmt.Errorf("invalid ciphertext: no prefix")
	}
	number, sealed, ok := strings.Cut(rest, ":")
	if !ok {
		return "", fmt.Errorf("invalid ciphertext: wrong number of fields")
	}
	version, err := strconv.Atoi(number)
	if err != nil {
		return "", fmt.Errorf("invalid ciphertext: version number could not be decoded")
	}
	version = max(version, 1) // version 0 is 1
	switch {
	case version > len(k.versions):
		return "", fmt.Errorf("invalid ciphertext: version is too new")
	case version < k.oldest:
		return "", fmt.Errorf("ciphertext or signature version is disallowed by policy (too old)")
	}
	aead, err := k.aead(version, context)
	if err != nil {
		return "", err
	}
	raw, err := base64.StdEncoding.DecodeString(sealed)
	if err != nil {
		return "", fmt.Errorf("invalid ciphertext: could not decode base64")
	}
	plain, err := aead.Open(nil, nil, raw, nil)
	if err != nil {
		return "", err
	}
	return base64.StdEncoding.EncodeToString(plain), nil
}
