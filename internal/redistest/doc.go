// Package redistest runs real Redis servers for tests.
//
// Start gives a test a server of its own on a free loopback port and takes it away when
// the test ends. It can be stopped, killed, frozen, and started again on the same port:
// with what Save put into its snapshot, or empty.
//
//	r := redistest.Start(t)
//	client, err := rueidis.NewClient(rueidis.ClientOption{InitAddress: []string{r.Addr()}})
//
// A server is a direct child of the test's process. On Linux the kernel kills it when that
// process dies. It is meant for tests on Unix; production code must not import it.
package redistest
