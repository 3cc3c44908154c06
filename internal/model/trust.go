package model

import "time"

// TrustedUntil is when Trusted ends if nothing more is observed; 0 if it does not
// hold at all.
func (m *Model) TrustedUntil() time.Duration {
	if m.seen < trusted {
		return 0
	}
	return m.recent[m.seen%trusted] + horizon
}
