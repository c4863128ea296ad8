package main

import (
	"fmt"
	"net"
	"strings"

	"github.com/undercroft/undercroft/internal/config"
)

// bannerText is what a person reads at the start: where S3 is, who may use it
// and one command to try. The secret is in it only when it was just made.
func bannerText(cfg config.Config, s3, administration net.Addr, root rootCredentials) string {
	scheme := "http"
	if cfg.TLS() {
		scheme = "https"
	}
	endpoint := scheme + "://" + reachable(s3)
	var b strings.Builder
	fmt.Fprintf(&b, "Undercroft serves S3 at  %s  (region %s)\n", endpoint, cfg.Region)
	fmt.Fprintf(&b, "  health and metrics     http://%s/-/readyz  /-/metrics  /-/status\n", reachable(administration))
	fmt.Fprintf(&b, "  access key             %s\n", root.AccessKey)
	secret := "..."
	switch root.origin {
	case originConfigured:
		b.WriteString("  secret key             (as configured)\n")
	case originKept:
		fmt.Fprintf(&b, "  secret key             (kept in %s)\n", root.file)
	case originGenerated:
		secret = string(root.SecretKey)
		fmt.Fprintf(&b, "  secret key             %s\n", secret)
		fmt.Fprintf(&b, "  The keys were made just now; they are kept in %s and not shown again.\n", root.file)
	}
	fmt.Fprintf(&b, "\nTry it:\n  export AWS_ACCESS_KEY_ID=%s AWS_SECRET_ACCESS_KEY='%s' AWS_DEFAULT_REGION=%s\n", root.AccessKey, secret, cfg.Region)
	fmt.Fprintf(&b, "  aws --endpoint-url %s s3 mb s3://my-first-bucket\n", endpoint)
	// Not every curl sends the header that S3 requires of signed requests.
	fmt.Fprintf(&b, "  curl --aws-sigv4 aws:amz:%s:s3 -H x-amz-content-sha256:UNSIGNED-PAYLOAD \\\n"+
		"    --user \"$AWS_ACCESS_KEY_ID:$AWS_SECRET_ACCESS_KEY\" %s/\n\n", cfg.Region, endpoint)
	return b.String()
}

// reachable returns an address that a client on this machine can use.
func reachable(address net.Addr) string {
	host, port, err := net.SplitHostPort(address.String())
	if err != nil {
		return address.String()
	}
	if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return net.JoinHostPort(host, port)
}
