module gatewayrig

go 1.24
