module github.com/fulcrum-data/fulcrum

go 1.26
