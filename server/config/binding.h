// Parameters put into a pipeline.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "millrace/v1/pipeline.pb.h"
#include "millrace/v1/run.pb.h"
#include "server/base/status.h"

namespace millrace {

using ParameterValues = std::map<std::string, v1::ParameterValue>;

// A pipeline ready to run.
struct BoundPipeline {
  v1::Pipeline pipeline;       // without bindings; fields that have a default and were absent are set to it
  ParameterValues parameters;  // every parameter's value, typed, defaults included
};

// Puts parameters into a pipeline that CheckPipeline has passed. INVALID_ARGUMENT (INVALID_FIELD) with every unknown,
// missing or wrong value, as `parameters.NAME`, and every field that breaks a rule once it is bound. The bound text is
// read as if it stood there in the YAML file; a template that is exactly one parameter keeps its type. Fetches in
// `client_inputs` read no file: a text parameter that is only used as the path of theirs need not be given, and is `-`.
StatusOr<BoundPipeline> BindParameters(const v1::Pipeline& pipeline, const ParameterValues& values,
                                       const std::set<std::string>& client_inputs = {});
// The same of a request's map.
StatusOr<BoundPipeline> BindParameters(const v1::Pipeline& pipeline,
                                       const google::protobuf::Map<std::string, v1::ParameterValue>& values,
                                       const std::set<std::string>& client_inputs = {});

// The same pipeline with the defaults of its parameters put in where they are enough for a field and fit it; the other
// bindings stay. For looking at what a run without parameters would have.
v1::Pipeline BindDefaults(const v1::Pipeline& pipeline);

// What is wrong with the parameters and bindings of a pipeline themselves, by path.
std::vector<FieldViolation> CheckBindings(const v1::Pipeline& pipeline);

}  // namespace millrace
