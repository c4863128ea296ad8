package gateway

import (
	"net/http"

	"github.com/undercroft/undercroft/s3"
)

// objectReads are the reads of objects.
func objectReads() []Operation {
	return []Operation{
		{Name: "GetObject", Method: http.MethodGet, Scope: ScopeObject, Action: "s3:GetObject", VersionAction: "s3:GetObjectVersion", handle: (*Gateway).getObject, decided: onVersion},
		{Name: "GetObjectAcl", Method: http.MethodGet, Scope: ScopeObject, Query: []string{"acl"}, Action: "s3:GetObjectAcl", VersionAction: "s3:GetObjectVersionAcl", handle: (*Gateway).getObjectACL, decided: onVersion},
		{Name: "GetObjectAnnotation", Method: http.MethodGet, Scope: ScopeObject, Query: []string{"annotation", "annotationName"}, Action: "s3:GetObjectAnnotation", VersionAction: "s3:GetObjectAnnotation"},
		{Name: "GetObjectAttributes", Method: http.MethodGet, Scope: ScopeObject, Query: []string{"attributes"}, Action: "s3:GetObjectAttributes", VersionAction: "s3:GetObjectVersionAttributes", handle: (*Gateway).getObjectAttributes, decided: onVersion},
		{Name: "GetObjectLegalHold", Method: http.MethodGet, Scope: ScopeObject, Query: []string{"legal-hold"}, Action: "s3:GetObjectLegalHold", VersionAction: "s3:GetObjectLegalHold", handle: (*Gateway).getObjectLegalHold, decided: onVersion},
		{Name: "GetObjectRetention", Method: http.MethodGet, Scope: ScopeObject, Query: []string{"retention"}, Action: "s3:GetObjectRetention", VersionAction: "s3:GetObjectRetention", handle: (*Gateway).getObjectRetention, decided: onVersion},
		{Name: "GetObjectTagging", Method: http.MethodGet, Scope: ScopeObject, Query: []string{"tagging"}, Action: "s3:GetObjectTagging", VersionAction: "s3:GetObjectVersionTagging", handle: (*Gateway).getObjectTagging, decided: onVersion},
		{Name: "GetObjectTorrent", Method: http.MethodGet, Scope: ScopeObject, Query: []string{"torrent"}, Action: "s3:GetObjectTorrent", VersionAction: "s3:GetObjectVersionTorrent", handle: (*Gateway).getObjectTorrent, decided: onVersion},
		{Name: "HeadObject", Method: http.MethodHead, Scope: ScopeObject, Action: "s3:GetObject", VersionAction: "s3:GetObjectVersion", handle: (*Gateway).headObject, decided: onVersion},
		{Name: "ListObjectAnnotations", Method: http.MethodGet, Scope: ScopeObject, Query: []string{"annotation"}, Action: "s3:GetObjectAnnotation", VersionAction: "s3:GetObjectAnnotation"},
		{Name: "ListParts", Method: http.MethodGet, Scope: ScopeObject, Query: []string{"uploadId"}, Action: "s3:ListMultipartUploadParts", handle: (*Gateway).listParts},
		{Name: "PreflightObject", Method: http.MethodOptions, Scope: ScopeObject, beyond: true, handle: (*Gateway).preflight, decided: onNothing},
	}
}

// objectWrites are the writes and deletions of objects.
func objectWrites() []Operation {
	return []Operation{
		{Name: "AbortMultipartUpload", Method: http.MethodDelete, Scope: ScopeObject, Query: []string{"uploadId"}, Action: "s3:AbortMultipartUpload", handle: (*Gateway).abortMultipartUpload},
		{Name: "CompleteMultipartUpload", Method: http.MethodPost, Scope: ScopeObject, Query: []string{"uploadId"}, Action: "s3:PutObject", handle: (*Gateway).completeMultipartUpload},
		{Name: "CopyObject", Method: http.MethodPut, Scope: ScopeObject, Header: s3.HeaderCopySource, Action: "s3:PutObject", handle: (*Gateway).copyObject},
		{Name: "CreateMultipartUpload", Method: http.MethodPost, Scope: ScopeObject, Query: []string{"uploads"}, Action: "s3:PutObject", handle: (*Gateway).createMultipartUpload},
		{Name: "DeleteObject", Method: http.MethodDelete, Scope: ScopeObject, Action: "s3:DeleteObject", VersionAction: "s3:DeleteObjectVersion", handle: (*Gateway).deleteObject},
		{Name: "DeleteObjectAnnotation", Method: http.MethodDelete, Scope: ScopeObject, Query: []string{"annotation", "annotationName"}, Action: "s3:DeleteObjectAnnotation", VersionAction: "s3:DeleteObjectAnnotation"},
		{Name: "DeleteObjectTagging", Method: http.MethodDelete, Scope: ScopeObject, Query: []string{"tagging"}, Action: "s3:DeleteObjectTagging", VersionAction: "s3:DeleteObjectVersionTagging", handle: (*Gateway).deleteObjectTagging, decided: onVersion},
		{Name: "PutObject", Method: http.MethodPut, Scope: ScopeObject, Action: "s3:PutObject", handle: (*Gateway).putObject},
		{Name: "PutObjectAcl", Method: http.MethodPut, Scope: ScopeObject, Query: []string{"acl"}, Action: "s3:PutObjectAcl", VersionAction: "s3:PutObjectVersionAcl", handle: (*Gateway).putObjectACL, decided: onVersion},
		{Name: "PutObjectAnnotation", Method: http.MethodPut, Scope: ScopeObject, Query: []string{"annotation", "annotationName"}, Action: "s3:PutObjectAnnotation", VersionAction: "s3:PutObjectAnnotation"},
		{Name: "PutObjectLegalHold", Method: http.MethodPut, Scope: ScopeObject, Query: []string{"legal-hold"}, Action: "s3:PutObjectLegalHold", VersionAction: "s3:PutObjectLegalHold", handle: (*Gateway).putObjectLegalHold, decided: onVersion},
		{Name: "PutObjectRetention", Method: http.MethodPut, Scope: ScopeObject, Query: []string{"retention"}, Action: "s3:PutObjectRetention", VersionAction: "s3:PutObjectRetention", handle: (*Gateway).putObjectRetention, decided: onVersion},
		{Name: "PutObjectTagging", Method: http.MethodPut, Scope: ScopeObject, Query: []string{"tagging"}, Action: "s3:PutObjectTagging", VersionAction: "s3:PutObjectVersionTagging", handle: (*Gateway).putObjectTagging, decided: onVersion},
		{Name: "RenameObject", Method: http.MethodPut, Scope: ScopeObject, Query: []string{"renameObject"}, Action: "s3:PutObject"},
		{Name: "RestoreObject", Method: http.MethodPost, Scope: ScopeObject, Query: []string{"restore"}, Action: "s3:RestoreObject", VersionAction: "s3:RestoreObject", decided: onVersion},
		{Name: "SelectObjectContent", Method: http.MethodPost, Scope: ScopeObject, Query: []string{"select", "select-type=2"}, Action: "s3:GetObject", decided: onVersion},
		{Name: "UpdateObjectEncryption", Method: http.MethodPut, Scope: ScopeObject, Query: []string{"encryption"}, Action: "s3:UpdateObjectEncryption", VersionAction: "s3:UpdateObjectEncryption", handle: (*Gateway).updateObjectEncryption, decided: onVersion},
		{Name: "UploadPart", Method: http.MethodPut, Scope: ScopeObject, Query: []string{"partNumber", "uploadId"}, Action: "s3:PutObject", handle: (*Gateway).uploadPart},
		{Name: "UploadPartCopy", Method: http.MethodPut, Scope: ScopeObject, Query: []string{"partNumber", "uploadId"}, Header: s3.HeaderCopySource, Action: "s3:PutObject", handle: (*Gateway).uploadPartCopy},
	}
}
