// Package fulcrumtest helps to test what is built with Fulcrum: [Backend] is a
// fake database whose service time follows a model, and [TestStore] shows whether
// a store keeps every promise of package store.
//
// A Backend waits with timers and its context alone, so that it works in the
// virtual time of testing/synctest. Import this package from tests only.
package fulcrumtest
