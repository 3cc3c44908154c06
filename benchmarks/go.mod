module github.com/fulcrum-data/fulcrum/benchmarks

go 1.26.0

require (
	github.com/fulcrum-data/fulcrum v0.0.0
	github.com/jackc/pgx/v5 v5.12.0
	github.com/vikstrous/dataloadgen v0.0.10
)

require (
	github.com/jackc/pgpassfile v1.0.0 // indirect
	github.com/jackc/pgservicefile v0.0.0-20240606120523-5a60cdf6a761 // indirect
	github.com/jackc/puddle/v2 v2.2.3 // indirect
	go.opentelemetry.io/otel v1.11.1 // indirect
	go.opentelemetry.io/otel/trace v1.11.1 // indirect
	golang.org/x/sync v0.23.0 // indirect
	golang.org/x/sys v0.49.0 // indirect
	golang.org/x/text v0.42.0 // indirect
)

replace github.com/fulcrum-data/fulcrum => ../
