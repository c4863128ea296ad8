package observability

import (
	"runtime"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
)

// Build says what binary this is.
type Build struct {
	// Version is what `git describe` said when the binary was built.
	Version string
	// GoVersion is the toolchain's.
	GoVersion string
}

// NewBuild returns the build with version, which the linker sets, or "dev".
func NewBuild(version string) Build {
	if version == "" {
		version = "dev"
	}
	return Build{Version: version, GoVersion: runtime.Version()}
}

// NewRegistry returns a registry that holds the metrics of the Go runtime, of
// the process and of the build. Others register theirs with it.
func NewRegistry(build Build) *prometheus.Registry {
	info := prometheus.NewGauge(prometheus.GaugeOpts{
		Name:        "undercroft_build_info",
		Help:        "Always 1; the labels say what binary this is.",
		ConstLabels: prometheus.Labels{"version": build.Version, "go_version": build.GoVersion},
	})
	info.Set(1)
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(info, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return registry
}
