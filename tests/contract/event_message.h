// Writes messages of `application/vnd.amazon.eventstream`, which the product only reads.
#pragma once

#include <map>
#include <string>

namespace millrace::backend {

// Returns a message with these text headers.
std::string EventMessageBytes(const std::map<std::string, std::string>& headers, const std::string& payload);
// Return a message of a stream of Bedrock: an event, and an exception that ends the stream.
std::string EventBytes(const std::string& type, const std::string& payload);
std::string ExceptionBytes(const std::string& type, const std::string& payload = R"({"message":"m"})");

}  // namespace millrace::backend
