package directory

import (
	"encoding/json"
	"fmt"

	"github.com/undercroft/undercroft/iam"
)

// checkPolicy refuses an inline policy that is too long or no JSON object.
func checkPolicy(document string) error {
	switch {
	case document == "":
		return nil
	case len(document) > maxPolicy:
		return fmt.Errorf("%w: a policy has at most %d bytes", iam.ErrInvalid, maxPolicy)
	}
	var object map[string]json.RawMessage
	if err := json.Unmarshal([]byte(document), &object); err != nil {
		return fmt.Errorf("%w: the policy is not a JSON object: %w", iam.ErrInvalid, err)
	}
	return nil
}
