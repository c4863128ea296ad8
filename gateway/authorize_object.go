package gateway

import (
	"github.com/undercroft/undercroft/iam"
	"github.com/undercroft/undercroft/objects"
	"github.com/undercroft/undercroft/s3"
)

// accessTo asks the question about the version that is found. That nothing is
// there is told only to whom a listing would tell it too.
func (x *exchange) accessTo(q *question) objects.Access {
	return func(current *objects.Object) error {
		asked := *q
		if asked.object = current; current == nil {
			asked.action, asked.listed = "s3:ListBucket", true
		}
		if read := readToo(asked.action); read != "" {
			also := asked
			also.action = read
			if err := check(x.decide(&also)); err != nil {
				return err
			}
		}
		return x.allow(&asked)
	}
}

// readToo is the action that is needed besides another, empty for none: who
// asks for attributes has to be allowed to read the object.
func readToo(action string) string {
	switch action {
	case "s3:GetObjectAttributes":
		return "s3:GetObject"
	case "s3:GetObjectVersionAttributes":
		return "s3:GetObjectVersion"
	}
	return ""
}

// allowUpload asks about the request. Who began a multipart upload may see and
// end it, so that the upload is looked at where nothing else allows that.
func (g *Gateway) allowUpload(x *exchange, q *question) error {
	err := x.allow(q)
	if err == nil || x.caller == nil {
		return err
	}
	switch q.action {
	case "s3:AbortMultipartUpload", "s3:ListMultipartUploadParts":
	default:
		return err
	}
	parts, lookup := g.o.Objects.ListParts(x.r.Context(), objects.ListPartsInput{
		Bucket: x.bucket, Key: x.key, Upload: x.upload(),
	})
	if lookup != nil {
		return err // who may not ask is not told that there is no upload
	}
	asked := *q
	asked.uploader = parts.Upload.Initiator
	return x.allow(&asked)
}

// accessToSource asks whether the caller may read the source of a copy, and
// copy its tags where the copy keeps them.
func (x *exchange) accessToSource(from *place, src *s3.CopySource) objects.Access {
	q := question{action: "s3:GetObject", place: from, bucket: src.Bucket, key: src.Key, version: src.Version}
	tagging := "s3:GetObjectTagging"
	if src.Version != "" {
		q.action, tagging = "s3:GetObjectVersion", "s3:GetObjectVersionTagging"
	}
	read := x.accessTo(&q)
	return func(current *objects.Object) error {
		if err := read(current); err != nil || current == nil || len(current.Tags) == 0 || !x.copiesTags() {
			return err
		}
		asked := q
		asked.action, asked.object = tagging, current
		if err := check(x.decide(&asked)); err != nil {
			return err
		}
		set := question{action: "s3:PutObjectTagging", place: &x.place, bucket: x.bucket, key: x.key, copied: current.Tags}
		return check(x.decide(&set))
	}
}

// copiesTags reports whether the request is a copy that keeps the tags of its
// source.
func (x *exchange) copiesTags() bool {
	return x.op.Name == "CopyObject" && x.header(s3.HeaderTaggingDirective) != string(s3.DirectiveReplace)
}

// alsoAllow asks about a further action on what the request is about.
func (x *exchange) alsoAllow(action string) error {
	return check(x.decide(&question{action: action, place: &x.place, bucket: x.bucket, key: x.key}))
}

// comparing asks the question, of reading, about what the condition of a write
// compares with, since its outcome tells of that.
func (x *exchange) comparing(q *question, pre objects.WritePrecondition) objects.WritePrecondition {
	if pre == nil {
		return nil
	}
	return func(current *objects.Object) error {
		if current != nil && !current.DeleteMarker {
			asked := *q
			asked.object = current
			if err := check(x.decide(&asked)); err != nil {
				return err
			}
		}
		return pre(current)
	}
}

// factsOf converts an object's access control list to what is decided on.
func factsOf(acl []objects.Grant) iam.ACL {
	if len(acl) == 0 {
		return iam.ACL{}
	}
	permissions := [...]iam.Permission{
		objects.PermissionRead: iam.PermissionRead, objects.PermissionWrite: iam.PermissionWrite,
		objects.PermissionReadACP: iam.PermissionReadACP, objects.PermissionWriteACP: iam.PermissionWriteACP,
		objects.PermissionFullControl: iam.PermissionFullControl,
	}
	grants := make([]iam.Grant, len(acl))
	for i := range acl {
		g := &grants[i]
		g.ID, g.Type = acl[i].ID, iam.GranteeCanonicalUser
		if acl[i].Type == objects.GranteeGroup {
			g.Type = iam.GranteeGroup
		}
		if int(acl[i].Permission) < len(permissions) {
			g.Permission = permissions[acl[i].Permission]
		}
	}
	return iam.ACL{Grants: grants}
}
