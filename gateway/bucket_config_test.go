package gateway

import (
	"net/http"
	"strings"
	"testing"

	"github.com/undercroft/undercroft/objects"
	"github.com/undercroft/undercroft/s3"
)

func TestBucketConfigurationsAreKeptCanonical(t *testing.T) {
	tests := map[string]struct {
		kind     objects.ConfigKind
		body     string
		want     string // inside what is kept and shown
		status   int    // of the PUT
		none     s3.Code
		noDelete bool
	}{
		"cors":    {objects.ConfigCORS, testCORS, "<CORSRule><ID>one</ID><AllowedMethod>GET</AllowedMethod>", http.StatusOK, s3.NoSuchCORSConfiguration, false},
		"tagging": {objects.ConfigTagging, "<Tagging> <TagSet><Tag><Value>2</Value><Key>b</Key></Tag><Tag><Key>a</Key><Value/></Tag></TagSet></Tagging>", "<Tag><Key>a</Key><Value></Value></Tag><Tag><Key>b</Key><Value>2</Value></Tag>", http.StatusNoContent, s3.NoSuchTagSet, false},
		"requestPayment": {
			objects.ConfigRequestPayment, "<RequestPaymentConfiguration><Payer>Requester</Payer></RequestPaymentConfiguration>",
			"<Payer>Requester</Payer>", http.StatusOK, "", true,
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			s := newServer(t)
			target := "/bucket?" + name
			if tt.none != "" {
				s.expect(tt.none, "GET", target, "")
			}
			if a := s.ok("PUT", target, tt.body); a.StatusCode != tt.status || a.body != "" {
				t.Errorf("PUT: %d %q", a.StatusCode, a.body)
			}
			a := s.ok("GET", target, "")
			if !strings.Contains(a.body, tt.want) || !strings.Contains(a.body, s3.Namespace) || a.body != string(s.objects.configs[tt.kind]) {
				t.Errorf("shown %s\nkept %s", a.body, s.objects.configs[tt.kind])
			}
			s.expect(s3.MalformedXML, "PUT", target, "<Nonsense/>")
			s.expect(s3.MissingRequestBodyError, "PUT", target, "")
			s.expect(s3.BadDigest, "PUT", target, tt.body, "Content-MD5", "1B2M2Y8AsgTpgAmY7PhCfg==")
			s.expect(s3.NoSuchBucket, "PUT", "/missing?"+name, tt.body)
			s.expect(s3.NoSuchBucket, "GET", "/missing?"+name, "")
			if again := s.ok("GET", target, ""); again.body != a.body {
				t.Errorf("after refusals: %s", again.body)
			}
			if tt.noDelete {
				return
			}
			for range 2 {
				if a := s.ok("DELETE", target, ""); a.StatusCode != http.StatusNoContent {
					t.Errorf("DELETE: %d", a.StatusCode)
				}
			}
			s.expect(tt.none, "GET", target, "")
		})
	}
}

func TestRequestPaymentDefault(t *testing.T) {
	s := newServer(t)
	if a := s.ok("GET", "/bucket?requestPayment", ""); !strings.Contains(a.body, "<Payer>BucketOwner</Payer>") {
		t.Error(a.body)
	}
	s.objects.configs[objects.ConfigRequestPayment] = s3.AppendRequestPayment(nil, s3.PayerRequester)
	if a := s.ok("GET", "/bucket?requestPayment", ""); a.Header.Get("X-Amz-Request-Charged") != "" {
		t.Error("the owner is charged")
	}
}

func TestUnconfiguredAnswers(t *testing.T) {
	s := newServer(t)
	for query, want := range map[string]string{
		"accelerate": "<AccelerateConfiguration ", "logging": "<BucketLoggingStatus ", "notification": "<NotificationConfiguration ",
		"abac": "<Status>Disabled</Status>", "analytics": "<IsTruncated>false</IsTruncated>", "inventory": "<IsTruncated>false</IsTruncated>",
		"metrics": "<IsTruncated>false</IsTruncated>", "intelligent-tiering": "<IsTruncated>false</IsTruncated>",
	} {
		if a := s.ok("GET", "/bucket?"+query, ""); !strings.Contains(a.body, want) {
			t.Errorf("%s: %s", query, a.body)
		}
		s.expect(s3.NoSuchBucket, "GET", "/missing?"+query, "")
	}
	for query, code := range map[string]s3.Code{
		"website": s3.NoSuchWebsiteConfiguration, "replication": s3.ReplicationConfigurationNotFoundError, "lifecycle": s3.NoSuchLifecycleConfiguration,
		"encryption": s3.ServerSideEncryptionConfigurationNotFoundError, "object-lock": s3.ObjectLockConfigurationNotFoundError,
		"metadataTable": s3.MetadataConfigurationNotFound, "metrics&id=a": s3.NoSuchConfiguration,
	} {
		s.expect(code, "GET", "/bucket?"+query, "")
		s.expect(s3.NoSuchBucket, "GET", "/missing?"+query, "")
		if code != s3.NoSuchConfiguration && !strings.Contains(s.do("GET", "/bucket?"+query, "").body, "<BucketName>bucket</BucketName>") {
			t.Errorf("%s does not name the bucket", query)
		}
	}
	for _, query := range []string{"replication"} {
		s.ok("DELETE", "/bucket?"+query, "")
		s.expect(s3.NotImplemented, "PUT", "/bucket?"+query, "<x/>")
	}
	s.expect(s3.NoSuchConfiguration, "DELETE", "/bucket?metrics&id=a", "")
}
