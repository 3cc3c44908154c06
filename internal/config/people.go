package config

import "net/url"

// readPeople says that there are /fulcrum.js and /v1/experience, and for which sites.
func (c *Config) readPeople(v value) {
	c.People = &People{}
	v.fields(field{name: "keep", read: intoText(&c.People.Keep, "store, or a file of its own")}, field{name: "origins", read: func(v value) {
		const want = "origins, such as https://shop.example"
		v.each(want, func(v value) {
			s, ok := v.text(want)
			if !ok {
				return
			}
			if u, err := url.Parse(s); err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || s != u.Scheme+"://"+u.Host {
				v.wrong("%s: want a scheme and a host alone, such as https://shop.example", v.shown())
				return
			}
			c.People.Origins = append(c.People.Origins, s)
		})
	}})
}
