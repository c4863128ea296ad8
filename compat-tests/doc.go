// Package compat proves from outside that the undercroft binary speaks S3.
//
// Its tests build and start the real binary on six data directories and talk to
// it with the AWS SDK for Go, with requests signed by hand and over raw sockets.
// With the build tag compat they also drive foreign clients (boto3, the AWS CLI,
// s3cmd, rclone, a Docker registry), which compat-tests/run.sh installs into a
// cache outside of the tree; a client that is not there is skipped with one line
// that begins COMPAT SKIP.
//
// What is asserted is what AWS does. Where AWS is known to answer in more than
// one way, a test says so and accepts those.
//
// Environment: COMPAT_BINARY names a binary to use instead of building one.
// COMPAT_ENDPOINT, COMPAT_ACCESS_KEY and COMPAT_SECRET_KEY name a server that
// already runs, to try the tests against a peer; those that need a server of
// their own are then skipped.
//
// Nothing imports this package.
package compat
