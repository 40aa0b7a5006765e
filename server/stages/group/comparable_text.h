// Text of an item for comparisons: its weighted fields as parts of a document.
#pragma once

#include <google/protobuf/repeated_field.h>
#include <boost/json/fwd.hpp>

#include "millrace/v1/stages.pb.h"
#include "server/text/features.h"

namespace millrace {

// Adds an item to the corpus: text as words, each entry of a list as one feature, numbers as their JSON.
void AddToCorpus(const google::protobuf::RepeatedPtrField<v1::WeightedField>& fields, const boost::json::value& item,
                 Corpus& corpus);

}  // namespace millrace
