"""What every gRPC server and client of the network stands on."""
