// Package config reads the configuration file of fulcrum serve: YAML, strictly.
//
// What is not known or does not fit is refused, all of it at once, each problem
// with file, line, column and what to do. ${NAME} in a value stands for an
// environment variable, so that secrets stay out of the file; $${ stands for
// itself. No problem and no log line shows what a variable or a store's address
// holds.
//
// The file's shape stands in schema.go and resources.go, one line a field. How
// values are read stands in value.go.
package config
