// A backend in Go: repeats the last message in capital letters, word by word.
//
//	./run 127.0.0.1:7002
package main

import (
	"context"
	"fmt"
	"log"
	"net"
	"os"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	pb "example/capitals/backendv1"
)

const answerVersion = "capitals-1" // changes whenever equal questions get other answers

type backend struct {
	pb.UnimplementedBackendServiceServer // refuses Embed
}

func (backend) Describe(context.Context, *pb.DescribeRequest) (*pb.DescribeResponse, error) {
	return &pb.DescribeResponse{Name: "capitals 1", AnswerVersion: answerVersion, Generates: true}, nil
}

func (backend) Generate(request *pb.GenerateRequest, stream grpc.ServerStreamingServer[pb.GenerateResponse]) error {
	if len(request.Messages) == 0 {
		return status.Error(codes.InvalidArgument, "no message")
	}
	words := strings.SplitAfter(strings.ToUpper(request.Messages[len(request.Messages)-1].Content), " ")
	reason := pb.FinishReason_FINISH_REASON_STOP
	if len(words) > int(request.MaxTokens) {
		words, reason = words[:request.MaxTokens], pb.FinishReason_FINISH_REASON_LENGTH
	}
	for _, word := range words {
		delta := &pb.GenerateResponse{Event: &pb.GenerateResponse_Delta{Delta: word}}
		if err := stream.Send(delta); err != nil {
			return err // nobody waits any more
		}
	}
	tokens := int64(len(words))
	completion := &pb.Completion{FinishReason: reason, OutputTokens: &tokens, AnswerVersion: answerVersion}
	return stream.Send(&pb.GenerateResponse{Event: &pb.GenerateResponse_Completion{Completion: completion}})
}

func main() {
	listener, err := net.Listen("tcp", os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("serving on", listener.Addr())
	server := grpc.NewServer()
	pb.RegisterBackendServiceServer(server, backend{})
	log.Fatal(server.Serve(listener))
}
