// Package fulcrumotel tells OpenTelemetry what Readers and Backends do.
//
//	registration, err := fulcrumotel.Register(otel.Meter("shop"), users, orders)
//	…
//	registration, err = fulcrumotel.RegisterBackend(otel.Meter("shop"), backend)
//
// Nothing is measured for it: at each collection the figures are read that the
// Readers keep anyway. Quantiles are of the last [fulcrum.StatsWindow].
package fulcrumotel
