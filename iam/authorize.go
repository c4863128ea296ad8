package iam

// Decision is an answer and why it is so. The reason is for logs and
// administrators; S3 tells a client AccessDenied and no more.
type Decision struct {
	Allowed bool
	Reason  string
}

// Authorize decides whether who may take action on resource. The action is an
// IAM action such as "s3:GetObject", the resource an ARN such as
// "arn:aws:s3:::bucket/key". The zero Decision denies.
func Authorize(who *Identity, action, resource string) Decision {
	switch {
	case action == "" || resource == "":
		// A route without an action is a mistake of ours, and is not served.
		return Decision{Reason: "the request names no action or no resource"}
	case who == nil:
		return Decision{Reason: "anonymous callers have no permissions"}
	case who.Root && who.AccountID == RootAccount:
		return Decision{Allowed: true, Reason: "the root of the owning account may do everything"}
	default:
		return Decision{Reason: "no policy allows it"}
	}
}
