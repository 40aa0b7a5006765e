// URL, headers and key of requests, by configuration: OpenAI, a compatible server, or Azure.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "backends/sdk/backend.h"
#include "millrace/v1/server_config.pb.h"
#include "server/base/status.h"

namespace millrace::backend::openai {

// Returns a request without its body. `path` is the end of the URL, such as `/chat/completions`; `model` is a part of
// the URL in Azure's dated API.
SendHttp RequestTo(const v1::OpenaiBackend& config, std::string_view path, const std::string& model);

// Returns a warning if the URL has no version such as /v1 in its path, which nearly all servers of this API have; empty
// if all is well.
std::string VersionWarning(const v1::OpenaiBackend& config);

// Returns true if the URL has a version in its path, or needs none (Azure's dated API).
bool HasVersion(const v1::OpenaiBackend& config);

// Returns how to correct the URL if the server does not know its paths, as the end of a sentence.
std::string UrlAdvice(const v1::OpenaiBackend& config);

// Returns what is wrong with the fields that make up a request, beyond the rules that their message declares.
std::vector<FieldViolation> CheckEndpoint(const v1::OpenaiBackend& config);

}  // namespace millrace::backend::openai
