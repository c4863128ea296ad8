package compat

import (
	"context"
	"net/url"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// removeBucket aborts uploads, deletes versions one by one and then the bucket.
// It asks for encoded keys, since XML cannot carry every character that a key
// may have. The SDK's paginators would send the markers back as they came.
func removeBucket(ctx context.Context, c *s3.Client, bucket string) error {
	if err := abortUploads(ctx, c, bucket); err != nil {
		return err
	}
	if err := deleteVersions(ctx, c, bucket); err != nil {
		return err
	}
	_, err := c.DeleteBucket(ctx, &s3.DeleteBucketInput{Bucket: &bucket})
	return err
}

func abortUploads(ctx context.Context, c *s3.Client, bucket string) error {
	in := &s3.ListMultipartUploadsInput{Bucket: &bucket, EncodingType: types.EncodingTypeUrl}
	for {
		page, err := c.ListMultipartUploads(ctx, in)
		if err != nil {
			return err
		}
		for _, u := range page.Uploads {
			key, err := url.QueryUnescape(*u.Key)
			if err != nil {
				return err
			}
			if _, err = c.AbortMultipartUpload(ctx, &s3.AbortMultipartUploadInput{Bucket: &bucket, Key: &key, UploadId: u.UploadId}); err != nil {
				return err
			}
		}
		if !aws.ToBool(page.IsTruncated) {
			return nil
		}
		next, err := url.QueryUnescape(aws.ToString(page.NextKeyMarker))
		if err != nil {
			return err
		}
		in.KeyMarker, in.UploadIdMarker = &next, page.NextUploadIdMarker
	}
}

func deleteVersions(ctx context.Context, c *s3.Client, bucket string) error {
	in := &s3.ListObjectVersionsInput{Bucket: &bucket, EncodingType: types.EncodingTypeUrl}
	for {
		page, err := c.ListObjectVersions(ctx, in)
		if err != nil {
			return err
		}
		for _, id := range identifiersOf(page) {
			key, err := url.QueryUnescape(*id.Key)
			if err != nil {
				return err
			}
			if _, err = c.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &bucket, Key: &key, VersionId: id.VersionId}); err != nil {
				return err
			}
		}
		if !aws.ToBool(page.IsTruncated) {
			return nil
		}
		next, err := url.QueryUnescape(aws.ToString(page.NextKeyMarker))
		if err != nil {
			return err
		}
		in.KeyMarker, in.VersionIdMarker = &next, page.NextVersionIdMarker
	}
}
