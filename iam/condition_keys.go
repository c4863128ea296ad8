package iam

import (
	"slices"
	"strings"
)

// globalKeys are the condition keys that every service of AWS knows.
const globalKeys = `aws:assumedroot aws:calledvia aws:calledviafirst aws:calledvialast aws:chatbotsourcearn
	aws:currenttime aws:ec2instancesourceprivateipv4 aws:ec2instancesourcevpc aws:epochtime aws:federatedprovider
	aws:multifactorauthage aws:multifactorauthpresent aws:principalaccount aws:principalarn aws:principalisawsservice
	aws:principalorgid aws:principalorgpaths aws:principalservicename aws:principalservicenameslist aws:principaltype
	aws:referer aws:requestedregion aws:resourceaccount aws:resourceorgid aws:resourceorgpaths aws:securetransport
	aws:sourceaccount aws:sourcearn aws:sourceidentity aws:sourceip aws:sourceorgid aws:sourceorgpaths
	aws:sourceowner aws:sourcevpc aws:sourcevpcarn aws:sourcevpce aws:tagkeys aws:tokenissuetime aws:useragent
	aws:userid aws:username aws:viaawsservice aws:vpceaccount aws:vpceorgid aws:vpceorgpaths aws:vpcsourceip`

// anyActionKeys are those of S3 that go with every action.
const anyActionKeys = `s3:accessgrantsinstancearn s3:accesspointnetworkorigin s3:authtype s3:dataaccesspointaccount
	s3:dataaccesspointarn s3:resourceaccount s3:signatureage s3:signatureversion s3:tlsversion
	s3:x-amz-content-sha256`

// isTagKey reports whether a key is a family of keys, one for each tag.
func isTagKey(key, family string) bool {
	rest, ok := strings.CutPrefix(key, family)
	return ok && rest != ""
}

// keyActions returns the actions that a condition key of S3 goes with, nil for
// all of them. It reports false for a key that S3 does not know.
func keyActions(key string) (actions []string, known bool) {
	for _, family := range [...]string{"aws:principaltag/", "aws:requesttag/", "aws:resourcetag/", "s3:buckettag/"} {
		if isTagKey(key, family) {
			return nil, true
		}
	}
	if slices.Contains(strings.Fields(globalKeys), key) || slices.Contains(strings.Fields(anyActionKeys), key) {
		return nil, true
	}
	actions = strings.Fields(actionsOfKey(key))
	return actions, len(actions) > 0
}

// actionsOfKey lists the actions, without "s3:", that have a condition key.
func actionsOfKey(key string) string {
	switch {
	case isTagKey(key, "s3:existingobjecttag/"):
		return `DeleteObjectTagging DeleteObjectVersionTagging GetObject GetObjectAcl GetObjectAttributes GetObjectTagging
			GetObjectVersion GetObjectVersionAcl GetObjectVersionAttributes GetObjectVersionTagging PutObjectAcl
			PutObjectTagging PutObjectVersionAcl PutObjectVersionTagging RestoreObject`
	case isTagKey(key, "s3:requestobjecttag/"), key == "s3:requestobjecttagkeys":
		return "PutObject PutObjectTagging PutObjectVersionTagging ReplicateTags"
	case strings.HasPrefix(key, "s3:x-amz-server-side-encryption"):
		return encryptionKeyActions(key)
	}
	switch key {
	case "s3:delimiter", "s3:max-keys", "s3:prefix":
		return "ListBucket ListBucketVersions"
	case "s3:versionid":
		return `DeleteObjectVersion DeleteObjectVersionTagging GetObjectVersion GetObjectVersionAcl
			GetObjectVersionAttributes GetObjectVersionTagging GetObjectVersionTorrent PutObjectVersionAcl
			PutObjectVersionTagging RestoreObject`
	case "s3:locationconstraint", "s3:x-amz-object-ownership":
		return "CreateBucket PutBucketOwnershipControls"
	case "s3:x-amz-acl", "s3:x-amz-grant-full-control", "s3:x-amz-grant-read", "s3:x-amz-grant-read-acp",
		"s3:x-amz-grant-write", "s3:x-amz-grant-write-acp":
		return "CreateBucket PutBucketAcl PutObject PutObjectAcl PutObjectVersionAcl"
	case "s3:x-amz-copy-source", "s3:x-amz-metadata-directive", "s3:x-amz-storage-class",
		"s3:x-amz-website-redirect-location", "s3:objectcreationoperation":
		return "PutObject"
	case "s3:if-match", "s3:if-none-match":
		return "PutObject DeleteObject"
	case "s3:object-lock-legal-hold":
		return "PutObject PutObjectLegalHold BypassGovernanceRetention"
	case "s3:object-lock-mode", "s3:object-lock-retain-until-date", "s3:object-lock-remaining-retention-days":
		return "PutObject PutObjectRetention BypassGovernanceRetention"
	case "s3:inventoryaccessibleoptionalfields":
		return "PutInventoryConfiguration"
	}
	return ""
}

func encryptionKeyActions(key string) string {
	switch strings.TrimPrefix(key, "s3:x-amz-server-side-encryption") {
	case "", "-aws-kms-key-id":
		return "PutObject ReplicateObject"
	case "-customer-algorithm":
		return "GetObject GetObjectVersion PutObject ReplicateObject"
	}
	return ""
}

// isAddressKey reports whether the values of a key are addresses, which S3
// checks whatever the operator.
func isAddressKey(key string) bool {
	return key == "aws:sourceip" || key == "aws:vpcsourceip"
}
