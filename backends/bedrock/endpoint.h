// The address of Bedrock's runtime API, and the region that it is in.
#pragma once

#include <string>
#include <string_view>

#include "millrace/v1/server_config.pb.h"

namespace millrace::backend::bedrock {

// Returns the configured endpoint, or else the public endpoint of the region, without a slash at its end.
std::string EndpointOf(const v1::BedrockBackend& config);

// Returns the region in the host name of an endpoint of AWS, private ones included; empty for any other URL.
std::string RegionIn(std::string_view endpoint);

}  // namespace millrace::backend::bedrock
