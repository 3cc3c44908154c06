package fulcrum

// Unmeasured has a Reader keep no durations: what they cost is measured by leaving
// them out.
func (r *Reader[K, V]) Unmeasured() { r.rec.off = true }
