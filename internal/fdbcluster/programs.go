package fdbcluster

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Programs are the files of an installed FoundationDB.
type Programs struct{ Server, CLI, Library string }

// Find looks for FoundationDB in $FDB_HOME, or, where that is not set, where its packages install it.
func Find() (Programs, error) { return find(os.Getenv) }

func find(getenv func(string) string) (Programs, error) {
	programs := filepath.SplitList(getenv("PATH"))
	programs = append(programs, "/usr/sbin", "/usr/local/sbin", "/usr/local/bin", "/usr/lib/foundationdb")
	libraries := []string{"/usr/lib", "/usr/local/lib", "/usr/lib64", "/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu"}
	where := "PATH and the system's directories; FDB_HOME is not set"
	if home := getenv("FDB_HOME"); home != "" {
		programs = []string{filepath.Join(home, "bin"), filepath.Join(home, "sbin")}
		libraries = []string{filepath.Join(home, "lib")}
		where = "FDB_HOME=" + home
	}
	var missing []string
	look := func(name string, dirs []string) string {
		for _, dir := range dirs {
			file := filepath.Join(dir, name)
			if info, err := os.Stat(file); dir != "" && err == nil && info.Mode().IsRegular() {
				return file
			}
		}
		missing = append(missing, name)
		return ""
	}
	p := Programs{Server: look("fdbserver", programs), CLI: look("fdbcli", programs), Library: look("libfdb_c.so", libraries)}
	if len(missing) > 0 {
		return p, fmt.Errorf("%w: no %s in %s", ErrNotFound, strings.Join(missing, ", "), where)
	}
	return p, nil
}

// ErrNotFound says that FoundationDB is not installed, or not all of it.
var ErrNotFound = errors.New("FoundationDB not found")
